"""What lies in a run or on this machine, told: why, status, compare, estimates, doctor."""
