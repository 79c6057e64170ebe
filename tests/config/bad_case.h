// A configuration with mistakes, and what is to be said about them. bad_config_test.cc tries them.
#ifndef POSTERN_TESTS_CONFIG_BAD_CASE_H_
#define POSTERN_TESTS_CONFIG_BAD_CASE_H_

#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace postern::config {

struct Expected {
  std::string place;     // line:column
  std::string fragment;  // of the message
};

struct BadCase {
  std::string name;
  std::string text;
  // What is appended to make the rest of the file right: L a listener, T certificates, P a pool
  // "mail" with the backend "mail1", R a route to it.
  std::string parts;
  std::vector<Expected> expected;  // every mistake, in order
};

// For gtest, which would print the bytes.
void PrintTo(const BadCase& bad, std::ostream* out);

// INSTANTIATE_TEST_SUITE_P(Topic, BadConfig, ::testing::ValuesIn(cases), CaseName), in any file.
class BadConfig : public ::testing::TestWithParam<BadCase> {};

inline std::string CaseName(const ::testing::TestParamInfo<BadCase>& param) {
  return param.param.name;
}

}  // namespace postern::config

#endif  // POSTERN_TESTS_CONFIG_BAD_CASE_H_
