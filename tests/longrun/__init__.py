"""The faults and the fuzzing of the tests, for as long as one likes.

python -m tests.longrun                        everything: 20 rounds of kills, 100,000 inputs
python -m tests.longrun --only crashes         one part of it
"""
