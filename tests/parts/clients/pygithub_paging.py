"""Lists repositories page by page with what `ccproxy env` printed. usage: PAUSE between pages, in seconds"""
import json
import os
import time

from github import Auth, Github

hub = Github(
    auth=Auth.Token(os.environ["GITHUB_TOKEN"]), base_url=os.environ["GITHUB_API_URL"], per_page=1, retry=None
)
user = hub.get_user()
repositories, names = user.get_repos(), []
for repository in repositories:
    names.append(repository.name)
    time.sleep(float(os.environ["PAUSE"]))
print(json.dumps({"login": user.login, "repositories": names}))
