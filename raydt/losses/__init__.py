"""Tables of losses of other models, and their import into a store."""
