"""Training of tokenizers and of generators over their tokens: one trainer, several tasks.

`recipe` says what is trained and how, `presets` names recipes, `trainer` runs the steps, `tasks`
holds what each family minimises, `data` feeds it and `export` writes what the zoo reads.
"""
