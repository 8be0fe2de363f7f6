"""The image and video API of OpenAI."""
