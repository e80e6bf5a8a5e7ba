"""Where tasks go: pure, fed with facts and asked for decisions."""
