"""The tasks by name, each with the function that makes it from a recipe and a seed."""

from collections.abc import Callable
from importlib import import_module
from typing import Final

from titokzip.training.recipe import Recipe, RecipeError
from titokzip.training.tasks.task import Task

_BUILDERS: Final = {
    "titok": "titok:one_stage",
    "titok-stage1": "proxy_codes:stage_one",
    "titok-stage2": "titok:stage_two",
    "vqgan": "vqgan:vqgan",
    "flextok": "flextok:flextok",
    "maskgit": "maskgit:maskgit",
    "autoregressive": "autoregressive:autoregressive",
}


def build(recipe: Recipe, seed: int) -> Task:
    """Make the task of a recipe.

    Raises:
        RecipeError: there is none of that name, or its files do not fit.
    """
    if recipe.task not in _BUILDERS:
        raise RecipeError(f"no task is named {recipe.task!r}; there is {', '.join(_BUILDERS)}")
    module, _, function = _BUILDERS[recipe.task].partition(":")
    builder: Callable[[Recipe, int], Task] = getattr(
        import_module(f"titokzip.training.tasks.{module}"), function
    )
    return builder(recipe, seed)
