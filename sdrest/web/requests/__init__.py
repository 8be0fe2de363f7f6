"""What every way in shares: from values and pictures to a stored job, and from the job to its view."""
