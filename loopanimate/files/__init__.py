"""Pictures in; videos, animations and living pages out."""
