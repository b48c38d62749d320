"""Peers of raydt's training, written or called as well as their users would."""
