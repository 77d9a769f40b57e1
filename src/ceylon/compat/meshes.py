"""Meshes as `ceylonai-next` spells them."""
