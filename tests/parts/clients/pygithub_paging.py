"""Pages through repositories by `Link`, and fails if a page led away from the proxy."""
import os

from github import Auth, Github

hub = Github(base_url=os.environ["GITHUB_API_URL"], auth=Auth.Token(os.environ["GITHUB_TOKEN"]), per_page=2)
print("user", hub.get_user().login)
names = [repository.name for repository in hub.get_user().get_repos()]
assert len(names) > 2, names  # more than a page
print("repositories", len(names), " ".join(names))
