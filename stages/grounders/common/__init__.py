"""What several grounders share: detectors behind one interface, phrases, labels and English for them."""
