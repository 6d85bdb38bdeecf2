"""How a line of a log looks, whichever process writes it. Times are UTC."""

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
