"""Stages train and features: one model per fold."""
