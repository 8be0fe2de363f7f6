"""Measurements that anyone can run: ``make bench`` and ``make soak``. None of them is part of the tests' verdict."""
