"""What runs inside every process: watchdog and garbage collection. Imports no other package of ours."""
