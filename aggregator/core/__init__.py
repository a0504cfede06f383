"""The pure middle: values and plain functions. No I/O, no clock, no randomness, no logging."""
