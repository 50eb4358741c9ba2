"""python -m titokzip.training.embedded."""

from titokzip.training.embedded.commands import main

if __name__ == "__main__":
    main(prog_name="python -m titokzip.training.embedded")
