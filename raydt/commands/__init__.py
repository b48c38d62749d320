"""The commands of `raydt` that are more than a few lines of wiring, a file for each family."""
