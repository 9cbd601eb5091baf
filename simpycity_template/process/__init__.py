"""What belongs to a process: fork, threads, standard output."""
