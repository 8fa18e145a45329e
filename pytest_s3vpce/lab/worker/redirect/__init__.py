"""This folder goes on a worker's PYTHONPATH, for the one module in it that Python loads by itself."""
