"""Procedural driving scenes with exact labels: layouts, looks, a renderer and dataset writers."""
