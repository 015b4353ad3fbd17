"""Shared tools: events, communication, logging, files, registries, environment."""
