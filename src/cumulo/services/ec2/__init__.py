"""EC2, as far as computing needs it: instances are slices of this machine; the rest is the companion's."""
