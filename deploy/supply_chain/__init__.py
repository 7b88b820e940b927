"""What the image installs from others: license notices, a bill of materials, known advisories. Read from the lock files."""
