// What a run found out, for people and for programs.
#ifndef POSTERN_BENCH_LOAD_REPORT_H_
#define POSTERN_BENCH_LOAD_REPORT_H_

#include <nlohmann/json.hpp>
#include <string>

#include "bench/load/options.h"
#include "bench/load/results.h"

namespace postern::load {

std::string Summary(const Options& options, const Results& results);
nlohmann::ordered_json ToJson(const Options& options, const Results& results);
// As text. Examples may quote a server: bytes that are no UTF-8 become replacement characters.
std::string JsonText(const nlohmann::ordered_json& json);

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_REPORT_H_
