"""The experiment: variants of the recipe, trained on one look and scored on unseen looks."""
