"""What the line needs of the world, in words of the domain: one Protocol a noun, each with few methods."""
