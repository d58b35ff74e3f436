"""The streaming generator: portraits and sound in, pictures and the sound they belong to out."""
