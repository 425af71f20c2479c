"""What a model of pictures looks at: filters, feature maps, Grad-CAM, classic filters."""
