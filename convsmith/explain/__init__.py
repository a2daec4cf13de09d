"""What a trained network sees: feature maps, kernels, similarity, saliency; it needs weights and images."""
