"""The commands of `vaora-provision`, a module each: words and questions, and nothing decided."""
