"""How good a method is: metrics, named benchmarks, test people, reports."""
