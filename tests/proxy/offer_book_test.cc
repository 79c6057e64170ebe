#include "proxy/offer_book.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/base/log.h"
#include "proxy/pool_watch.h"

namespace postern {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OfferBookTest : public ::testing::Test {
 protected:
  OfferBookTest() {
    for (const char* name : {"mail1", "mail2", "other"}) {
      config::Backend backend;
      backend.name = name;
      config_.backends.push_back(backend);
      list_.push_back(states_.Get(name));
    }
    config_.routing.pools = {{"mail", routing::Balance::kRendezvous, {0, 1}, false, {}, true}};
    routing::RouteOptions route;
    route.users = "*";
    route.pool = "mail";
    config_.routing.routes = {route};
    config_.listeners.resize(1);
    config_.dialogue.capabilities = {"TOP", "UIDL"};
    config_.dialogue.mechanisms = {pop3::Mechanism::kPlain, pop3::Mechanism::kXoauth2};
  }

  config::Config config_;
  routing::BackendStates states_;
  routing::BackendStateList list_;
};

TEST_F(OfferBookTest, BeforeAnythingIsKnownTheDefaultIsPromised) {
  const OfferBook book(&config_, list_);
  EXPECT_TRUE(book.learns());
  EXPECT_THAT(book.Get(0)->capabilities, ElementsAre("TOP", "UIDL"));
  EXPECT_THAT(book.Get(0)->withheld, IsEmpty());
  EXPECT_EQ(book.Differences(0), "");
}

TEST_F(OfferBookTest, WhatAllHaveIsPromised) {
  OfferBook book(&config_, list_);
  const auto before = book.Get(0);
  book.Learn(0, {"TOP", "PIPELINING", "SASL PLAIN XOAUTH2"});
  // mail2, not heard yet, counts as having the default.
  EXPECT_THAT(book.Get(0)->capabilities, ElementsAre("TOP"));
  EXPECT_THAT(book.Get(0)->withheld, IsEmpty());
  EXPECT_EQ(book.Differences(0), "");
  book.Learn(1, {"TOP", "PIPELINING", "UIDL", "SASL PLAIN"});
  EXPECT_THAT(book.Get(0)->capabilities, ElementsAre("TOP", "PIPELINING"));
  EXPECT_THAT(book.Get(0)->withheld, ElementsAre(pop3::Mechanism::kXoauth2));
  EXPECT_EQ(book.Differences(0), "mail1 lacks UIDL; mail2 lacks SASL XOAUTH2");
  // Where no route leads to means nothing.
  book.Learn(2, {});
  EXPECT_THAT(book.Get(0)->capabilities, ElementsAre("TOP", "PIPELINING"));
  // A session keeps what it has.
  EXPECT_THAT(before->capabilities, ElementsAre("TOP", "UIDL"));
  // An upgrade.
  book.Learn(1, {"TOP", "PIPELINING", "SASL PLAIN XOAUTH2"});
  EXPECT_THAT(book.Get(0)->withheld, IsEmpty());
  EXPECT_EQ(book.Differences(0), "");
}

TEST_F(OfferBookTest, AReloadForgetsNothing) {
  OfferBook(&config_, list_).Learn(0, {"TOP"});
  const OfferBook next(&config_, list_);
  EXPECT_THAT(next.Get(0)->capabilities, ElementsAre("TOP"));
}

TEST_F(OfferBookTest, TheOperatorsListIsFixedAndMechanismsAreStillWithheld) {
  config_.listeners.resize(2);
  config_.listeners[1].capabilities = {"TOP", "EXPIRE 5"};
  OfferBook book(&config_, list_);
  book.Learn(0, {"SASL PLAIN"});
  EXPECT_THAT(book.Get(0)->capabilities, IsEmpty());
  EXPECT_THAT(book.Get(1)->capabilities, ElementsAre("TOP", "EXPIRE 5"));
  EXPECT_THAT(book.Get(1)->withheld, ElementsAre(pop3::Mechanism::kXoauth2));
  config_.capabilities_written = true;
  OfferBook written(&config_, list_);
  EXPECT_THAT(written.Get(0)->capabilities, ElementsAre("TOP", "UIDL"));
  EXPECT_THAT(written.Get(1)->capabilities, ElementsAre("TOP", "EXPIRE 5"));
  EXPECT_TRUE(written.learns());
  config_.dialogue.mechanisms = {pop3::Mechanism::kPlain};
  EXPECT_FALSE(OfferBook(&config_, list_).learns());
}

TEST_F(OfferBookTest, AListenerPromisesWhatItsOwnBackendsHave) {
  config_.listeners.resize(3);
  config_.listeners[1].backend = 2;
  config_.listeners[2].backend = 2;
  config_.listeners[2].mechanisms = {{pop3::Mechanism::kPlain}};
  OfferBook book(&config_, list_);
  book.Learn(0, {"TOP", "SASL PLAIN"});
  book.Learn(1, {"TOP", "UIDL", "SASL PLAIN"});
  book.Learn(2, {"TOP", "PIPELINING", "SASL PLAIN XOAUTH2"});
  EXPECT_THAT(book.Get(0)->capabilities, ElementsAre("TOP"));
  EXPECT_THAT(book.Get(0)->withheld, ElementsAre(pop3::Mechanism::kXoauth2));
  EXPECT_THAT(book.Get(1)->capabilities, ElementsAre("TOP", "PIPELINING"));
  EXPECT_THAT(book.Get(1)->withheld, IsEmpty());
  // One of its names leads to a backend without it.
  config_.listeners[1].server_names = {{"s1.example", 0}};
  const OfferBook named(&config_, list_);
  EXPECT_THAT(named.Get(1)->capabilities, ElementsAre("TOP"));
  EXPECT_THAT(named.Get(1)->withheld, ElementsAre(pop3::Mechanism::kXoauth2));
  EXPECT_THAT(named.Get(2)->withheld, IsEmpty());
}

TEST_F(OfferBookTest, LearnsForTheMechanismsOfAnyListener) {
  config_.capabilities_written = true;
  config_.listeners.resize(2);
  config_.listeners[0].mechanisms = {{pop3::Mechanism::kPlain}};
  EXPECT_TRUE(OfferBook(&config_, list_).learns());
  config_.listeners[1].mechanisms = {{pop3::Mechanism::kLogin}};
  EXPECT_FALSE(OfferBook(&config_, list_).learns());
  config_.listeners[1].mechanisms = {{pop3::Mechanism::kScramSha256}};
  OfferBook book(&config_, list_);
  EXPECT_TRUE(book.learns());
  book.Learn(0, {"SASL PLAIN"});
  EXPECT_THAT(book.Get(0)->withheld, IsEmpty());
  EXPECT_THAT(book.Get(1)->withheld, ElementsAre(pop3::Mechanism::kScramSha256));
}

// RFC 2449 section 6.5.
TEST_F(OfferBookTest, OurLoginDelayIsPromisedWhoeverMadeTheList) {
  config_.listeners.resize(3);
  config_.listeners[0].login_delay = {60, false};
  config_.listeners[1].login_delay = {60, true};
  config_.listeners[1].capabilities = {"TOP", "login-delay 90", "EXPIRE 5"};
  OfferBook book(&config_, list_);
  EXPECT_THAT(book.Get(0)->capabilities, ElementsAre("TOP", "UIDL", "LOGIN-DELAY 60"));
  EXPECT_THAT(book.Get(1)->capabilities, ElementsAre("TOP", "EXPIRE 5", "LOGIN-DELAY 90"));
  EXPECT_THAT(book.Get(2)->capabilities, ElementsAre("TOP", "UIDL"));
  book.Learn(0, {"TOP", "UIDL"});
  book.Learn(1, {"TOP", "LOGIN-DELAY 30"});
  EXPECT_THAT(book.Get(0)->capabilities, ElementsAre("TOP", "LOGIN-DELAY 60"));
  EXPECT_THAT(book.Get(2)->capabilities, ElementsAre("TOP", "LOGIN-DELAY 30 USER"));
  // Some users meet the backend's, the others ours.
  book.Learn(1, {"TOP", "LOGIN-DELAY 90"});
  EXPECT_THAT(book.Get(0)->capabilities, ElementsAre("TOP", "LOGIN-DELAY 90 USER"));
  config_.capabilities_written = true;
  const OfferBook written(&config_, list_);
  EXPECT_THAT(written.Get(0)->capabilities, ElementsAre("TOP", "UIDL", "LOGIN-DELAY 60"));
}

TEST_F(OfferBookTest, DifferencesAreToldOnce) {
  log::Configure(log::Level::kError);
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->config = config_;
  snapshot->config.routing.backends = {{"mail1", 100}, {"mail2", 100}, {"other", 100}};
  snapshot->router = routing::Router::Create(snapshot->config.routing).value();
  snapshot->backend_states = list_;
  snapshot->offers = std::make_unique<OfferBook>(&snapshot->config, list_);
  PoolWatch watch;
  watch.Configure(snapshot);
  snapshot->offers->Learn(0, {"TOP", "UIDL"});
  EXPECT_THAT(watch.Look(1), IsEmpty());
  snapshot->offers->Learn(1, {"TOP"});
  EXPECT_THAT(watch.Look(1), ElementsAre("pool mail: its backends differ in what CAPA says: mail2 "
                                         "lacks UIDL; clients are promised what all have"));
  EXPECT_THAT(watch.Look(2), IsEmpty());
  // Nor again after a reload.
  watch.Configure(snapshot);
  EXPECT_THAT(watch.Look(3), IsEmpty());
  snapshot->offers->Learn(1, {"TOP", "UIDL"});
  EXPECT_THAT(watch.Look(4), ElementsAre(HasSubstr("the same capabilities again")));
  EXPECT_THAT(watch.Look(5), IsEmpty());
}

}  // namespace
}  // namespace postern
