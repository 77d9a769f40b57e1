"""Between agents and a model: a line, what the provider allows, further tries, a breaker, budgets.

`GovernedSession` stands before every session of a mesh; those of one provider, key and model share a `Governor`.
"""
