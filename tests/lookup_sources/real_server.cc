#include "tests/lookup_sources/real_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "proxy/base/check.h"
#include "tests/base/own_port.h"

namespace postern::routing::testing {
namespace {

std::string ReadAll(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

const passwd* UserOf(const std::string& name) {
  if (geteuid() != 0 || name.empty()) return nullptr;
  const passwd* user = getpwnam(name.c_str());
  CHECK(user != nullptr);
  return user;
}

// Never returns.
void Become(const std::vector<std::string>& command, const passwd* user, int input, int output) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(input, 0);
  dup2(output, 1);
  dup2(output, 2);
  if (user != nullptr) {
    if (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0) {
      _exit(126);
    }
    // The kernel forgets it with the change of user.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
  }
  if (chdir("/") != 0) _exit(126);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execvp(words[0], words.data());
  _exit(127);
}

pid_t Spawn(const std::vector<std::string>& command, const std::string& user, int input,
            int output) {
  const passwd* entry = UserOf(user);
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) Become(command, entry, input, output);
  setpgid(pid, pid);
  return pid;
}

}  // namespace

ServerDirectory::ServerDirectory(const std::string& user) : user_(user) {
  char path[] = "/tmp/postern-db-XXXXXX";
  CHECK(mkdtemp(path) != nullptr);
  path_ = path;
  if (const passwd* entry = UserOf(user_)) {
    CHECK(chown(path, entry->pw_uid, entry->pw_gid) == 0);
  }
  chmod(path, 0755);
}

ServerDirectory::~ServerDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ServerDirectory::Write(const std::string& name, absl::string_view content) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  chmod(path.c_str(), 0600);
  if (const passwd* entry = UserOf(user_)) {
    CHECK(chown(path.c_str(), entry->pw_uid, entry->pw_gid) == 0);
  }
  return path;
}

namespace {

int Run(const std::vector<std::string>& command, const std::string& user, const std::string& input,
        std::string* text) {
  char in_path[] = "/tmp/postern-in-XXXXXX";
  char out_path[] = "/tmp/postern-out-XXXXXX";
  const int in = mkstemp(in_path);
  const int out = mkstemp(out_path);
  CHECK(in >= 0 && out >= 0);
  CHECK(write(in, input.data(), input.size()) == static_cast<ssize_t>(input.size()));
  lseek(in, 0, SEEK_SET);
  const pid_t pid = Spawn(command, user, in, out);
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  *text = ReadAll(out_path);
  close(in);
  close(out);
  unlink(in_path);
  unlink(out_path);
  return status;
}

}  // namespace

std::string RunProgram(const std::vector<std::string>& command, const std::string& user,
                       const std::string& input) {
  std::string text;
  EXPECT_EQ(Run(command, user, input, &text), 0) << absl::StrJoin(command, " ") << "\n" << text;
  return text;
}

bool Succeeds(const std::vector<std::string>& command, const std::string& user) {
  std::string text;
  return Run(command, user, "", &text) == 0;
}

RealServer::RealServer(std::vector<std::string> command, std::string user, std::string log)
    : command_(std::move(command)), user_(std::move(user)), log_(std::move(log)) {}

void RealServer::Start(const std::function<bool()>& ready) {
  CHECK(pid_ < 0);
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  CHECK(in >= 0 && out >= 0);
  pid_ = Spawn(command_, user_, in, out);
  close(in);
  close(out);
  for (int i = 0; i < 12000; ++i) {
    if (ready()) return;
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      FAIL() << command_[0] << " ended with status " << status << ":\n" << ReadAll(log_);
    }
    poll(nullptr, 0, 10);
  }
  FAIL() << command_[0] << " did not come up:\n" << ReadAll(log_);
}

namespace {

// The letter of a /proc/.../status: R, S, T, Z and so on; 0 when there is no such process.
char StateIn(const std::string& path) {
  const std::string status = ReadAll(path);
  const size_t at = status.find("State:\t");
  return at == std::string::npos || at + 7 >= status.size() ? 0 : status[at + 7];
}

// Whether all threads of a process are in one of these states, or gone.
bool AllAre(pid_t process, absl::string_view states) {
  std::error_code ended;
  const std::string tasks = absl::StrCat("/proc/", process, "/task");
  for (std::filesystem::directory_iterator task(tasks, ended), end; task != end && !ended;
       task.increment(ended)) {
    const char state = StateIn(task->path().string() + "/status");
    if (state != 0 && !absl::StrContains(states, state)) return false;
  }
  return true;
}

// Its threads stop one after the other, and the first does not speak for the others.
bool WaitForState(pid_t process, absl::string_view states) {
  for (int i = 0; i < 60000; ++i) {
    if (AllAre(process, states)) return true;
    poll(nullptr, 0, 1);
  }
  return false;
}

}  // namespace

void RealServer::Kill() {
  if (pid_ < 0) return;
  // A dead parent has no children to be found by: all of them are stopped first, and who serves a
  // connection must be gone before anybody asks.
  Freeze();
  const std::vector<pid_t> processes = Signal(SIGKILL);
  waitpid(pid_, nullptr, 0);
  for (size_t i = 1; i < processes.size(); ++i) EXPECT_TRUE(WaitForState(processes[i], "ZX"));
  pid_ = -1;
}

std::vector<pid_t> RealServer::Signal(int signal) const {
  std::vector<pid_t> processes = {pid_};
  // PostgreSQL's processes leave the group.
  std::ifstream children(absl::StrCat("/proc/", pid_, "/task/", pid_, "/children"));
  for (pid_t child; children >> child;) processes.push_back(child);
  kill(-pid_, signal);
  for (size_t i = 1; i < processes.size(); ++i) kill(processes[i], signal);
  return processes;
}

void RealServer::Freeze() const {
  // The parent first: it starts no other while the others are listed.
  kill(pid_, SIGSTOP);
  EXPECT_TRUE(WaitForState(pid_, "TZX"));
  for (const pid_t process : Signal(SIGSTOP)) EXPECT_TRUE(WaitForState(process, "TZX"));
}
void RealServer::Thaw() const { Signal(SIGCONT); }

namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int ListenSomewhere(uint16_t* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof(address);
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
  CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  CHECK(listen(fd, 64) == 0);
  *port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

uint16_t FreePort() { return postern::testing::FreePort(); }

namespace {

bool Connects(int family, const sockaddr* address, socklen_t length) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool good = connect(fd, address, length) == 0;
  close(fd);
  return good;
}

}  // namespace

bool Listens(uint16_t port) {
  const sockaddr_in address = Loopback(port);
  return Connects(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

bool ListensAt(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  CHECK(path.size() < sizeof(address.sun_path));
  path.copy(address.sun_path, path.size());
  return Connects(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

FakeServer::FakeServer(std::string answer) : answer_(std::move(answer)) {
  listener_ = ListenSomewhere(&port_);
  thread_ = std::thread([this] { Run(); });
}

FakeServer::~FakeServer() {
  stop_ = true;
  thread_.join();
  close(listener_);
}

void FakeServer::Run() {
  std::vector<pollfd> open = {{listener_, POLLIN, 0}};
  while (!stop_) {
    poll(open.data(), open.size(), 20);
    const size_t known = open.size();
    for (size_t i = 1; i < known; ++i) {
      if (open[i].revents == 0) continue;
      std::array<char, 4096> buffer;
      if (recv(open[i].fd, buffer.data(), buffer.size(), MSG_DONTWAIT) <= 0) {
        close(open[i].fd);
        open[i].fd = -1;
      } else if (!answer_.empty()) {
        send(open[i].fd, answer_.data(), answer_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      }
    }
    if (open[0].revents == 0) continue;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++connections_;
    // A server that speaks first does so at once.
    if (!answer_.empty()) send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    open.push_back({fd, POLLIN, 0});
  }
  for (size_t i = 1; i < open.size(); ++i) {
    if (open[i].fd >= 0) close(open[i].fd);
  }
}

HostPort FakeServer::address() const { return Local(port_); }

HostPort Local(uint16_t port) {
  HostPort address;
  address.host = "127.0.0.1";
  address.port = port;
  return address;
}

HostPort UnixSocket(const std::string& path) {
  HostPort address;
  address.unix_path = path;
  return address;
}

LookupAnswer AskFor(LookupSource* source, const std::string& user,
                    std::chrono::milliseconds patience) {
  LookupQuestion question;
  question.user = user;
  const auto started = std::chrono::steady_clock::now();
  LookupAnswer answer = source->Ask(question, started + patience);
  const auto took = std::chrono::steady_clock::now() - started;
  // Wide: a busy machine may stand still for seconds. What never ends is found all the same.
  EXPECT_LT(took, patience + std::chrono::seconds(20)) << answer.detail;
  return answer;
}

std::vector<std::string> InjectionAttempts() {
  return {"' OR '1'='1",
          "alice@example.org' -- ",
          "x'; DROP TABLE users; --",
          "\\",
          "\"",
          "$1",
          "?",
          "*)(uid=*",
          "*",
          "alice@example.org)(|(mail=*",
          "(",
          "{user}",
          "{domain}@{",
          "%",
          "_",
          "\r\nGET mail:alice@example.org\r\n",
          "al\xc3\xa9",
          "j\xf6rg",
          std::string(320, 'x')};
}

}  // namespace postern::routing::testing
