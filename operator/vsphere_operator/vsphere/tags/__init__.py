"""Tags and categories through the official SDK, resolved once and then kept; who carries them is polled.

The API finds nothing by name: a category lists ids, and each id is one more call. What we made is known by its
id, and what a status recorded is hinted at, so only a name that a person made is ever searched, once a process.
"""

from vsphere_operator.vsphere.tags.models import CATEGORY_URN, Category, Tag, new_category_id, new_tag_id
from vsphere_operator.vsphere.tags.polling import TagPoll
from vsphere_operator.vsphere.tags.service import TagBatchError, Tags

__all__ = [
    "CATEGORY_URN",
    "Category",
    "Tag",
    "TagBatchError",
    "TagPoll",
    "Tags",
    "new_category_id",
    "new_tag_id",
]
