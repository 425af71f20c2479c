"""Medical scans: outline organs, vessels and lesions. Research software, not a medical device."""
