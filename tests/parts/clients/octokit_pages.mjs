// Lists repositories page by page with what `ccproxy env` printed.
import { Octokit } from "@octokit/rest";

const octokit = new Octokit({ auth: process.env.GITHUB_TOKEN, baseUrl: process.env.GITHUB_API_URL });
const { data: user } = await octokit.rest.users.getAuthenticated();
const repositories = await octokit.paginate(octokit.rest.repos.listForAuthenticatedUser, { per_page: 2 });
console.log(JSON.stringify({ login: user.login, repositories: repositories.map((one) => one.name) }));
