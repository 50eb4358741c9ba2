"""How the embedded model is made: its context model, its decoder network, and the data of both.

`images` gives training images by number, photos and drawn ones (`graphics`). `context_model` fits
the integer context model to them. `data` codes them and stores what is decoded beside the
originals; `trainer` trains the decoder network on that. `weights` joins both into a model.

    python -m titokzip.training.embedded --help
"""
