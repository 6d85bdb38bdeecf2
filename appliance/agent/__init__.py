"""What a request in words means, and what is made of it."""
