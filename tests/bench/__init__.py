"""Measurements, run by hand: they print figures and fail where a figure is out of its bound. No test is timed."""
