"""Stores on a Redis or Valkey server: rates alone."""
