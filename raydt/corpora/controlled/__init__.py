"""Controlled languages: one latent world, many surfaces, every share known."""
