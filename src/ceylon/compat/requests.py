"""What was submitted to a mesh, and what came of it."""
