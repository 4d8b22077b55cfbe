"""The diffusion network: UNet, conditioning, encoders, codecs, noise."""
