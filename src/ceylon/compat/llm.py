"""Language-model agents as `ceylonai-next` spells them."""
