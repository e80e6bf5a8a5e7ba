"""Decides which job runs where and when, and how many instances there should be.  Pure: no clock, no loop, no store."""
