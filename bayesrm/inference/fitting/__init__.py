"""What inferences share: Newton's method, evidence, prior scales, training of encoders."""
