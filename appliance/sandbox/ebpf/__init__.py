"""Rules of the kernel for jobs: what each may reach, and a record of what it did. Loaded by guard alone."""
