"""A Cluster's vSphere side: folder and tags, and their end."""
